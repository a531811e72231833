"""Files that ask the reader to open other files or the network."""

import random
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.damage import Seeds
from tests.fuzz.seeds import box

NAMES = "m3u8 m3u ffconcat mpd sdp pls asx mp3 wav ogg m4a mov mkv txt %d.mp3".split()


@dataclass(frozen=True)
class Bait:
    """What must never be accessed: the address of a server, and an audio file."""

    address: str  # "127.0.0.1:8000"
    file: Path

    def targets(self) -> list[str]:
        return [
            f"http://{self.address}/bait.mp3",
            f"tcp://{self.address}",
            f"cache:http://{self.address}/bait.ts",
            f"async:http://{self.address}/bait.aac",
            f"icecast://{self.address}/bait",
            f"rtmp://{self.address}/bait",
            f"rtsp://{self.address}/bait",
            f"rtp://{self.address}",
            f"ftp://{self.address}/bait.wav",
            str(self.file),
            f"file:{self.file}",
            f"file://{self.file}",
            self.file.name,
            f"../{self.file.parent.name}/{self.file.name}",
            f"concat:{self.file}|{self.file}",
            f"subfile,,start,0,end,1000,,:{self.file}",
            f"crypto:{self.file}",
            f"data:audio/x-mpegurl,{self.file}",
        ]


def reference(random: random.Random, seeds: Seeds, bait: Bait) -> tuple[str, bytes]:
    target = random.choice(bait.targets())
    data = _data_reference(random, seeds, target) if random.random() < 0.15 else _playlist(random, target)
    prefix = random.choice((b"", b"", b"", b"\xef\xbb\xbf", b"\n", b"ID3\x04\0\0\0\0\0\0"))
    return random.choice(NAMES), prefix + data


def _playlist(random: random.Random, target: str) -> bytes:
    host, _, port = target.rpartition("/")[0].rpartition("/")[2].partition(":")
    number = port if port.isdecimal() else "9"
    return random.choice(
        (
            f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
            f'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{target}"\n'
            f'#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\n{target}\n',
            f'#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-MAP:URI="{target}"\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n'
            f"#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
            f"ffconcat version 1.0\nfile '{target}'\nduration 5\n",
            f"ffconcat version 1.0\noption safe 0\nfile {target}\nfile_packet_metadata a=b\nstream\n",
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration='
            '"PT10S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1">'
            f"<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>",
            f'<?xml version="1.0"?><!DOCTYPE MPD [<!ENTITY e SYSTEM "{target}">]><MPD><Period>&e;</Period></MPD>',
            f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 {host or '127.0.0.1'}\nt=0 0\nm=audio {number} RTP/AVP 0\n"
            f"a=control:{target}\n",
            f"[playlist]\nFile1={target}\nNumberOfEntries=1\n",
            f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
            f"[Reference]\r\nRef1={target}\r\n",
            f"RTSPtext\r\n{target}\r\n",
            f"rtsp://{host}:{number}/bait\n",
            f'<SmoothStreamingMedia MajorVersion="2"><StreamIndex Url="{target}"/></SmoothStreamingMedia>',
            f'<smil><body><audio src="{target}"/></body></smil>',
            f"# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0\n{target}\n",
            f";FFMETADATA1\ntitle={target}\n",
            f"{target}\n",
        )
    ).encode()


def _data_reference(random: random.Random, seeds: Seeds, target: str) -> bytes:
    """A movie whose samples are in another file by its headers, or that is only a reference to another movie."""
    address = target.encode() + b"\0"
    pointer = box(b"rmra", box(b"rmda", box(b"rdrf", bytes(4), b"url ", len(address).to_bytes(4, "big"), address)))
    if random.random() < 0.3:
        return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", pointer)
    data = seeds[random.choice(("m4a", "mov"))]
    kind = random.choice((b"url ", b"alis", b"urn "))
    at = data.index(b"dref") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    entry = box(b"dref", bytes(4), (1).to_bytes(4, "big"), box(kind, bytes(4), address))
    return data[:at] + entry + data[at + size :]
