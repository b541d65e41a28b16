"""What tests of programs, engines and journals need: scripted engines, a wire, kits, strategies."""
