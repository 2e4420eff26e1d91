"""The model server beside other servers: the same model, the same requests, one core each in turn."""
