"""Settings: YAML with line marks becomes frozen values, or the list of all that is wrong with it."""
