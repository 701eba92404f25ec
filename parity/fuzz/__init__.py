"""Does chance find a difference? Random encoders, masks and inputs; what fails is made small and can be repeated."""
