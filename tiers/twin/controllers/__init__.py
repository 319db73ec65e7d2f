"""What a cluster does by itself: scheduler, kubelets, Deployments, training gangs, budgets.

Each module is a step over a store; `cluster.tick` runs them all in the order of a control loop.
"""
