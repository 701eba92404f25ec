"""Any two models, whoever wrote them: aligned by what their values are, not by what they are called."""
