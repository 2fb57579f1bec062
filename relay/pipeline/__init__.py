"""The loops: intake, planner, dispatcher, janitor. They know only core and ports."""
