"""Does every implementation of attention compute what the reference computes, and go to the device that it is for?"""
