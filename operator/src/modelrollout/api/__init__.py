"""The ModelRollout resource: what users write, what the operator reports, and the CRD made from both."""
