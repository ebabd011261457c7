"""What the packets prove: journeys, checks, categories, explanations, a cell's result."""
