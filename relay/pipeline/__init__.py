"""The loops (planner, dispatcher, janitor, hearing, credentials, operator) and the parts that they share.

They depend on core and ports only.
"""
