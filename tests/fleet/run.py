"""./dev fleet: the fleet of the tests to play with."""
import argparse
import collections
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

import hosts
import images
from fleet import SERVICE, Fleet


def parse():
    parser = argparse.ArgumentParser(prog="./dev fleet", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="three hosts, a Swarm, the stack of packaging/swarm")
    commands.add_parser("status", help="hosts, replicas, and where these are")
    load = commands.add_parser("load", help="clients of the balancers of all hosts; says how many were lost")
    load.add_argument("--seconds", type=float, default=20)
    commands.add_parser("update", help="exchange all replicas for those of the next image, and back the next time")
    for name, help_text in (("kill", "cut a host's power"), ("start", "and give it back")):
        commands.add_parser(name, help=help_text).add_argument("node", choices=[f"n{each}" for each in hosts.NUMBERS])
    commands.add_parser("down", help="remove all of it")
    return parser.parse_args()


def load(fleet, seconds):
    """Through the balancers of those hosts that are there."""
    with hosts.as_client(), fleet.load(*(host for host in fleet.hosts if host.present), seconds=seconds) as clients:
        pass
    lost = collections.Counter(each["outcome"] for each in clients.result["lost"])
    print(f"{clients.result['connections']} connections,", ", ".join(f"{number} lost ({how})" for how, number in lost.items()) or "none lost")


def update(fleet):
    image = fleet.update_state()[1]["TaskTemplate"]["ContainerSpec"]["Image"]
    with hosts.as_client():
        fleet.update(f"--image={images.NEXT if image == images.PREFORKD else images.PREFORKD}")


def start(fleet, node):
    fleet.host(node).power_on()
    fleet.wait_whole()


def status(fleet):
    print(fleet.manager.docker("node", "ls"))
    print(fleet.manager.docker("service", "ls"))
    print(fleet.service("ps", "--filter=desired-state=running", SERVICE))


def main():
    if reason := hosts.missing():
        sys.exit(f"dev: {reason}")
    arguments, fleet = parse(), Fleet()
    if arguments.command not in ("up", "down") and not Path("/run/netns", hosts.SWITCH).exists():
        sys.exit("dev: there is no fleet here: ./dev fleet up makes one")
    try:
        carry_out(arguments, fleet)
    except hosts.EngineRefused as error:
        sys.exit(f"dev: {error}")


def carry_out(arguments, fleet):
    match arguments.command:
        case "up": fleet.up()
        case "down": fleet.down()
        case "load": load(fleet, arguments.seconds)
        case "update": update(fleet)
        case "kill": fleet.host(arguments.node).power_off()
        case "start": start(fleet, arguments.node)
    if arguments.command in ("up", "update", "start", "status"):
        status(fleet)


if __name__ == "__main__":
    main()
