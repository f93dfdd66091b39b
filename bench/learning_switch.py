"""A learning switch on os-ken, as a peer for bench_fabric.py: what its framework costs is most of it.

osken-manager learning_switch.py.  OpenFlow 1.0 and 1.3: learns where source addresses are, sets a flow for a known destination
and sends the frame on, floods others."""

from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib.packet import ethernet, packet
from os_ken.ofproto import ofproto_v1_0, ofproto_v1_3


class LearningSwitch(app_manager.OSKenApp):
    OFP_VERSIONS = [ofproto_v1_0.OFP_VERSION, ofproto_v1_3.OFP_VERSION]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ports = {}  # {datapath id: {address: port}}

    def set_flow(self, datapath, match, actions, priority):
        ofproto, parser = datapath.ofproto, datapath.ofproto_parser
        if ofproto.OFP_VERSION == ofproto_v1_0.OFP_VERSION:
            message = parser.OFPFlowMod(datapath, match=match, command=ofproto.OFPFC_ADD, priority=priority, idle_timeout=60,
                                        actions=actions)
        else:
            apply = [parser.OFPInstructionActions(ofproto.OFPIT_APPLY_ACTIONS, actions)]
            message = parser.OFPFlowMod(datapath, match=match, priority=priority, idle_timeout=60 if priority else 0, instructions=apply)
        datapath.send_msg(message)

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def on_features(self, event):
        datapath = event.msg.datapath
        self.ports[datapath.id] = {}
        if datapath.ofproto.OFP_VERSION == ofproto_v1_3.OFP_VERSION:
            parser, ofproto = datapath.ofproto_parser, datapath.ofproto
            self.set_flow(datapath, parser.OFPMatch(), [parser.OFPActionOutput(ofproto.OFPP_CONTROLLER, ofproto.OFPCML_NO_BUFFER)], 0)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def on_packet_in(self, event):
        message = event.msg
        datapath = message.datapath
        ofproto, parser = datapath.ofproto, datapath.ofproto_parser
        is_10 = ofproto.OFP_VERSION == ofproto_v1_0.OFP_VERSION
        in_port = message.in_port if is_10 else message.match["in_port"]
        frame = packet.Packet(message.data).get_protocol(ethernet.ethernet)
        ports = self.ports.setdefault(datapath.id, {})
        ports[frame.src] = in_port
        out_port = ports.get(frame.dst, ofproto.OFPP_FLOOD)
        actions = [parser.OFPActionOutput(out_port)]
        if out_port != ofproto.OFPP_FLOOD:
            names = {"dl_dst": frame.dst, "dl_src": frame.src} if is_10 else {"eth_dst": frame.dst, "eth_src": frame.src}
            self.set_flow(datapath, parser.OFPMatch(in_port=in_port, **names), actions, 1)
        datapath.send_msg(parser.OFPPacketOut(datapath=datapath, buffer_id=message.buffer_id, in_port=in_port, actions=actions,
                                              data=message.data if message.buffer_id == ofproto.OFP_NO_BUFFER else None))
