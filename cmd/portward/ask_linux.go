package main

// ask sends one request to the `up` that runs on root.
func ask(root string, req request) (response, error) { return askAs(myOwn, root, req) }
