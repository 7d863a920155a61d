"""Power and cooling, decided without I/O: what a value means, total power, headroom, PUE; and the door to a source."""
