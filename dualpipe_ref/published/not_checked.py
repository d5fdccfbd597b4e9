"""What others report about the same things, and nobody here could check."""

from __future__ import annotations

from dualpipe_ref.published.claim import NotChecked

NOT_CHECKED = (
    NotChecked(
        "180,000 H800 hours for a trillion tokens",
        "DeepSeek-V3 report, arXiv:2412.19437, section 1",
        "180,000 H800 hours on 2,048 GPUs",
        "needs the cluster; `dualpipe-ref plan` predicts it from kernels' rates, and its page says how far off it was",
        ("planner", "log"),
    ),
    NotChecked(
        "DualPipeV in FlagScale",
        "FlagScale, pull request 644",
        "4 % to 11 % more throughput for DeepSeek models",
        "it says neither against which schedule, nor at which m, nor what the overlap alone gave",
        ("ch10_dualpipev", "planner"),
    ),
    NotChecked(
        "throughput of zero-bubble schedules",
        "Zero Bubble, arXiv:2401.10241, tables 4 to 6",
        "bubble rates and samples a second for four models on 8 to 32 GPUs",
        "needs those GPUs; the planner simulates the profiled times, which it quotes from memory",
        ("ch05_zero_bubble",),
    ),
    NotChecked(
        "device limits of 3 cost no quality",
        "DeepSeek-V2, arXiv:2405.04434, section 2.2.2",
        "a limit of three devices or more is about as good as none",
        "a claim about a model's quality, which nothing here measures",
        ("ch07_experts",),
    ),
    NotChecked(
        "communication that spares the L2 cache",
        "DeepSeek-V3 report, arXiv:2412.19437, section 3.2.2",
        "hand-written PTX and tuned chunks reduce the use of L2 and the disturbance of other SMs",
        "needs a Hopper GPU; no figure is published, and the released kernels switch the most daring loads off by default",
        ("ch01_waiting",),
    ),
    NotChecked(
        "warps in proportion to the work",
        "DeepSeek-V3 report, arXiv:2412.19437, section 3.2.2",
        "the number of warps of each task is adjusted while kernels run",
        "the released kernels (DeepEP, dd758ca) fix the roles as they are compiled and rotate only who serves which peer; other ones may have been used",
        ("ch14_crossing_nodes",),
    ),
    NotChecked(
        "fused dispatch, experts and combine",
        "Comet, arXiv:2502.19811; FlashMoE, arXiv:2506.04667",
        "up to 1.96x for a layer and 1.71x for a model; up to 5.7x the throughput of a layer on eight H100",
        "needs their kernels and GPUs, and their baselines; the planner has a bound that no such kernel can pass",
        ("ch16_limits",),
    ),
    NotChecked(
        "switches that copy and add up for experts",
        "Accelerating MoE with Dynamic In-Switch Computing, arXiv:2605.05607",
        "half of the traffic, and up to 1.79x once dispatch and combine are fused",
        "simulated hardware that nobody sells; that one direction of a link stays full without fusing is counted here, too",
        ("ch16_limits",),
    ),
)
