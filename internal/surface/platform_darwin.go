package surface

func native() Platform { return IOSurfaces() }
