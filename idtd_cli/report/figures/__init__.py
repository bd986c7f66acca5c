"""The figures of a recipe's grid: each as PNG and SVG, with its numbers as CSV and in words."""
