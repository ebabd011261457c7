"""Evidence from packets: journeys, checks, categories, explanations, a cell's result."""
