"""Statistical kernels on the 15-minute grid: what "more than usual" means, once for all detectors.

    grid        a series as arrays, padded to whole UTC days
    amounts     kernels A (location), B (block prediction interval) and C (tail share) for amounts
    blocks      kernel B itself
    events      kernels A' (proportion), D (beta-binomial prediction) and the burst rule for rates
    silences    the kernels of silence (gap, interval); what is usual in an hour of the week stands in `arrivals`
    episode     an anomaly with a beginning and, perhaps, an end; dating of the beginning
    walk        the causal walk over the ticks that all of them share
    findings    from an episode to a Finding with its evidence

Names and figures follow the sequential-analysis literature: Page (1954) for the CUSUM, DerSimonian and Laird (1986)
for the random-effects variance, Skellam (1948) for the beta-binomial.
"""
