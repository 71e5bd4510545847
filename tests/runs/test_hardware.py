"""Hardware of a machine, by files of the system."""

from xlmgen.runs import hardware


def test_processor_and_gpus_are_named(tmp_path, monkeypatch):
    cpu = tmp_path / "cpuinfo"
    cpu.write_text("processor\t: 0\nmodel name\t: AMD EPYC 9654\n" * 2)
    for number in (0, 1):
        folder = tmp_path / "gpus" / str(number)
        folder.mkdir(parents=True)
        text = "Model: \t\t NVIDIA H200\nIRQ:   \t\t 1\n"
        (folder / "information").write_text(text)
    monkeypatch.setattr(hardware, "CPU", cpu)
    monkeypatch.setattr(hardware, "GPUS", tmp_path / "gpus")
    monkeypatch.setattr(hardware.os, "cpu_count", lambda: 8)
    assert hardware.hardware() == "8 cores, AMD EPYC 9654, 2 × NVIDIA H200"


def test_machine_without_such_files_has_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "CPU", tmp_path / "none")
    monkeypatch.setattr(hardware, "GPUS", tmp_path / "none")
    monkeypatch.setattr(hardware.os, "cpu_count", lambda: 8)
    assert hardware.hardware() == "8 cores"
