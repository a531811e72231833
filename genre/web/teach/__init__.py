"""Teaching the page other genres: a visitor's songs and model, their texts and their HTML."""
