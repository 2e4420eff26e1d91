"""A small model server that speaks the Open Inference Protocol over JSON."""
