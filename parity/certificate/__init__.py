"""Does what a training run has come to hold? Its network on text that it has not seen, and the certificate."""
