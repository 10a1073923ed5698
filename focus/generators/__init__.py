"""Map generators, registered through the entry-point group ``focus.generators``."""
