"""How bytes reach a partner: signed, to permitted addresses only, within hard bounds. No models, no queries."""
