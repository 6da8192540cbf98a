"""What every scenario shares: steps that report, the exchange under test, another account to trade with."""
