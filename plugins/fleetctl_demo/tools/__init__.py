"""What the tools on a simulated host print: the real tools' own forms, so that the real parsers read them."""
