"""Where agents are known: this store's own inventory, the Argus Catalog, and the card that other agents ask for."""
