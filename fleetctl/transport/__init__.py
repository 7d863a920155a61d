"""How to reach a machine: ssh, local, replay. The only network, and the only package that imports asyncssh."""
