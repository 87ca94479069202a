"""A hospital, and how to reach its OpenMRS database without ever writing to it."""
