"""The loops (planner, dispatcher, janitor, hearing, credentials, watch, operator) and the parts that they share.

They depend on core and ports only.
"""
