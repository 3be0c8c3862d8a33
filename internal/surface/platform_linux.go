package surface

func native() Platform { return Platform{memfds{}, rings{}} }
