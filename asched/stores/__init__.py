"""The stores. Import the one you use; each imports its driver and no other."""
