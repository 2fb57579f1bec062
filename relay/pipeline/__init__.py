"""The loops: intake, planner, dispatcher, janitor. They depend on core and ports only."""
