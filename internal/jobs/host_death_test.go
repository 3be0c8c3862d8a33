package jobs_test

func hostChild() {}
