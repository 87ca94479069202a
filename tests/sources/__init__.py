"""Every source that we say we read: each platform of OpenMRS, and each kind and version of server.

platforms.py   hospitals of a version, on our own DDL or on that of a real install
life.py        what happens at a hospital, in one go
"""
