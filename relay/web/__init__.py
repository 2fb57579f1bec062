"""The admin address: health, metrics, and the API that the command line and the page use."""
