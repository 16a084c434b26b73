"""Subjects with a process of their own: their interpreters, source trees and processes."""
