"""What each series will need in the next four hours, as quantiles; each model judged by naive ones.

Series are rows of a matrix on an even ten-minute grid, NaN where nothing is known. Nothing after a
forecast's origin ever enters it: gaps are filled from the past only, and errors that set bands,
choices and calibration are those of origins whose outcome was known by then.
"""
