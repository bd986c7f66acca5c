"""What goes wrong outside of the code: faults, load, hostile input."""
