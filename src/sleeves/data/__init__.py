"""The packaged market data. Files only; `sleeves.sim.tape.Tape.sample` reads them, and README.md says where they are from."""
