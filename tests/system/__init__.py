"""The product as a person uses it: in a browser, in a terminal. Needs Debian packages."""
