"""The model: its members and their networks, their fusion, the music detector, and the folder that holds them."""
