"""Services that run on loopback and answer as the real ones do: for the demo, the tests and users' own CI."""
