"""Every way to make a manipulation map, one file each, found through ``focus.generators``."""
