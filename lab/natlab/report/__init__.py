"""The report of a matrix: files, pages, tables, comparisons."""
