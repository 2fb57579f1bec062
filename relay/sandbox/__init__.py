"""Services on loopback that answer as the real ones do, for the demo, the tests and users' own CI."""
